-- include: notify.events.shorten
-- Puts one job on the end of a queue, as enqueue.lua does: a new one, without needs and without a lifetime.
-- KEYS    job     rq:job:<id>
--         list    rq:queue:<queue>
--         queues  rq:queues
--         served, tokens   ns:served:<queue>, ns:wake:<queue>
--         log, head, topics  ns:log:<topic>, ns:topic:<topic>, ns:topics, for the topic of the queue
-- ARGV    id      letters, digits, _ and -
--         event   its beginning, up to the id of the job, or "" if none is to be published
--         topic, channel
--         length, log_ms, head_ms  limits of the topic
--         ...     the fields and values of the job but turn
-- returns nothing
--
-- This is the script that most enqueuers wait for, so the steps of enqueue.lua and the parts that it includes are written out: the
-- functions and tables there take the server longer than all of the commands. A test compares the two.
local job, list, queues, served, tokens, log, head, topics = unpack(KEYS)
local id, event, topic, channel, length, log_ms, head_ms = unpack(ARGV, 1, 7)
local FIRST_FIELD = 8
local TOKEN_MS, SERVED_MS = 60000, 50 -- as in parts/wake.lua
local t = redis.call('TIME')
local turn = string.format('%.0f', t[1] * 1000000 + t[2])
if redis.call('RPUSH', list, id) == 1 then -- else whoever pushed the others has added the queue
  redis.call('SADD', queues, list)
end
redis.call('HSET', job, 'turn', turn, unpack(ARGV, FIRST_FIELD))
local known = event ~= '' and redis.pcall('HMGET', head, 'epoch', 'last', 'touched')
if known and not known.err then
  local epoch, prev, touched = known[1], known[2], known[3]
  if not (epoch and prev) then
    epoch, prev = string.format('%x%05x', t[1], t[2]), '0-0'
  end
  local body = event .. id .. '","status":"enqueued","at_ms":' .. string.sub(turn, 1, -4) .. '}}'
  local stored = redis.pcall('XADD', log, 'NOMKSTREAM', 'MAXLEN', '~', length, '*', 'prev', prev, 'epoch', epoch, 'data', body)
  if not stored then
    stored, touched = redis.pcall('XADD', log, '*', 'prev', prev, 'epoch', epoch, 'data', body), nil
  end
  if type(stored) == 'string' then -- else the log is spoilt: the event is lost, and the job is enqueued all the same
    if #body * length > LOG_BYTES then shorten(log) end
    local published = redis.pcall('PUBLISH', channel, '{"id":"' .. stored .. '@' .. epoch .. '","prev":"' .. prev .. '",' .. string.sub(body, 2))
    local stamp = string.match(stored, '^%d+')
    local age = stamp - (tonumber(touched) or 0) -- written by another program, it may be no time, or one to come
    if type(published) == 'table' then
      redis.call('XDEL', log, stored) -- no permission for the channel: an event that is not published must not stay in the log
    elseif age >= 0 and age < math.min(60000, log_ms / 10) then
      redis.pcall('HSET', head, 'last', stored)
    else
      redis.pcall('HSET', head, 'epoch', epoch, 'last', stored, 'touched', stamp)
      redis.pcall('PEXPIRE', log, log_ms)
      redis.pcall('PEXPIRE', head, head_ms)
      redis.pcall('ZADD', topics, stamp, topic)
      redis.pcall('ZREMRANGEBYSCORE', topics, '-inf', string.format('%.0f', stamp - head_ms))
      redis.pcall('PEXPIRE', topics, head_ms)
    end
  end
end
if redis.call('EXISTS', served, tokens) == 0 then
  redis.call('RPUSH', tokens, '1')
  redis.call('PEXPIRE', tokens, TOKEN_MS)
  redis.call('SET', served, '', 'PX', SERVED_MS)
end
