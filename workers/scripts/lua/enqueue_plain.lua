-- include: notify.events.shorten
-- include: notify.history.first
-- Puts one job on the end of a queue, as enqueue.lua does: a new one, without needs and without a lifetime.
-- KEYS    list    rq:queue:<queue>
--         served, tokens   ns:served:<queue>, ns:wake:<queue>
--         log, head  ns:log:<topic>, ns:topic:<topic>, for the topic of the queue
-- ARGV    id      letters, digits, _ and -
--         event   its beginning, up to the id of the job, or "" if none is to be published
--         at      the time as RQ writes it
--         data, description, origin, timeout  fields of the job; origin is the name of the queue
-- returns nothing
--
-- This is the script that most enqueuers wait for, so the steps of enqueue.lua and the parts that it includes are written out: the
-- functions and tables there take the server longer than all of the commands. What is the same for all calls of a client stands before
-- the script, written by plain.py: each argument costs both sides as much as a line of Lua. A test compares the two scripts.
local list, served, tokens, log, head = unpack(KEYS)
local id, event, at, data, description, origin, timeout = unpack(ARGV)
local TOKEN_MS, SERVED_MS = 60000, 50 -- as in parts/wake.lua
local t = redis.call('TIME')
local turn = string.format('%.0f', t[1] * 1000000 + t[2])
if redis.call('RPUSH', list, id) == 1 then -- else whoever pushed the others has added the queue
  redis.call('SADD', QUEUES, list)
end
redis.call('HSET', JOB .. id, 'turn', turn, 'created_at', at, 'enqueued_at', at, 'data', data, 'description', description,
  'origin', origin, 'timeout', timeout, 'failure_ttl', FAILURE_TTL, 'status', 'queued')
local known = event ~= '' and redis.pcall('HMGET', head, 'epoch', 'last', 'touched')
if known and not known.err then
  local epoch, prev, touched = known[1], known[2], known[3]
  if not (epoch and prev) then
    epoch, prev = string.format('%x%05x', t[1], t[2]), '0-0'
  end
  local body = event .. id .. '","status":"enqueued","at_ms":' .. string.sub(turn, 1, -4) .. '}}'
  local stored = redis.pcall('XADD', log, 'NOMKSTREAM', 'MAXLEN', '~', LENGTH, '*', 'prev', prev, 'epoch', epoch, 'data', body)
  if not stored then
    stored, touched = redis.pcall('XADD', log, '*', 'prev', prev, 'epoch', epoch, 'data', body), nil
  end
  if type(stored) == 'string' then -- else the log is spoilt: the event is lost, and the job is enqueued all the same
    if #body * LENGTH > LOG_BYTES then shorten(log) end
    local topic = TOPIC .. origin
    local published = redis.pcall('PUBLISH', CHANNEL .. topic, '{"id":"' .. stored .. '@' .. epoch .. '","prev":"' .. prev .. '",' .. string.sub(body, 2))
    local stamp = string.match(stored, '^%d+')
    local age = stamp - (tonumber(touched) or 0) -- written by another program, it may be no time, or one to come
    if type(published) == 'table' then
      redis.call('XDEL', log, stored) -- no permission for the channel: an event that is not published must not stay in the log
    elseif age >= 0 and age < TOUCHED_MS then
      redis.pcall('HSET', head, 'last', stored)
    else
      redis.pcall('HSET', head, 'epoch', epoch, 'last', stored, 'touched', stamp)
      redis.pcall('PEXPIRE', log, LOG_MS)
      redis.pcall('PEXPIRE', head, HEAD_MS)
      redis.pcall('ZADD', TOPICS, stamp, topic)
      redis.pcall('ZREMRANGEBYSCORE', TOPICS, '-inf', string.format('%.0f', stamp - HEAD_MS))
      redis.pcall('PEXPIRE', TOPICS, HEAD_MS)
    end
  end
end
if HISTORY_MINUTE then
  local path = string.match(data, '^%["([^"\\]+)"') or string.match(description, '^([^%s(]+)%(') or '(unknown)' -- as in parts/history.lua
  local field, minute = 'job enqueued ' .. word(origin) .. ' ' .. word(path), math.floor(t[1] / 60)
  if redis.pcall('HINCRBY', HISTORY_MINUTE .. minute, field, 1) == 1 then count_new(HISTORY_MINUTE .. minute, minute, field, 1) end
end
if redis.call('EXISTS', served, tokens) == 0 then
  redis.call('RPUSH', tokens, '1')
  redis.call('PEXPIRE', tokens, TOKEN_MS)
  redis.call('SET', served, '', 'PX', SERVED_MS)
end
