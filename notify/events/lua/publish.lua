-- include: notify.events.begin
-- include: notify.events.shorten
-- include: notify.history.first
-- Publishes one event; with an idempotency key at most once, and as a batch of one event once.
-- KEYS    log       ns:log:<topic>
--         head      ns:topic:<topic>
--         topics    ns:topics
--         retained  ns:retained:<topic>
--         once      ns:once:<topic>:<key>, or ns:sent:<publisher> for a batch; left out without a key
-- ARGV    channel
--         topic
--         body      the event as JSON, without its stamp
--         lifetime  of the retained value: "" keeps it as it is, "0" deletes it, "-1" keeps this event for ever, else for so many ms
--         length, log_ms, head_ms  limits
--         once_ms   for how long the idempotency key, or the batch, is remembered; left out without a key
--         batch     number of the batch, as in publish_many.lua; left out without one
-- returns the id of the event; of the first event, if the key was used before; the number of a batch that was published before
--
-- This is the script that every publisher waits for, so the steps of parts/append.lua are written out: the functions and tables
-- there cost some microseconds on a server that was idle just before. A test compares the two.
local log, head, topics, retained, once = unpack(KEYS)
local channel, topic, body, lifetime, length, log_ms, head_ms, once_ms, batch = unpack(ARGV)
if once then
  local first = redis.call('GET', once)
  if first and (not batch or first == batch) then return first end
end
local known = redis.call('HMGET', head, 'epoch', 'last', 'touched')
local epoch, prev, touched = known[1], known[2] or '0-0', known[3] -- another program may have left a part of it
if not epoch then
  local t = redis.call('TIME')
  epoch, prev = string.format('%x%05x', t[1], t[2]), '0-0'
end
local id = redis.call('XADD', log, 'NOMKSTREAM', 'MAXLEN', '~', length, '*', 'prev', prev, 'epoch', epoch, 'data', body)
if not id then
  id, touched = begin_log(log, prev, 'prev', prev, 'epoch', epoch, 'data', body), nil
end
if #body * length > LOG_BYTES then shorten(log) end
local full = id .. '@' .. epoch
local stamped = '{"id":"' .. full .. '","prev":"' .. prev .. '",' .. string.sub(body, 2)
local published = redis.pcall('PUBLISH', channel, stamped)
if type(published) == 'table' then
  redis.call('XDEL', log, id)
  return published
end
local stamp = string.match(id, '^%d+')
local age = stamp - (tonumber(touched) or 0) -- written by another program, it may be no time, or one to come
if age >= 0 and age < math.min(60000, log_ms / 10) then
  redis.call('HSET', head, 'last', id)
else
  redis.call('HSET', head, 'epoch', epoch, 'last', id, 'touched', stamp)
  redis.call('PEXPIRE', log, log_ms)
  redis.call('PEXPIRE', head, head_ms)
  redis.call('ZADD', topics, stamp, topic)
  redis.call('ZREMRANGEBYSCORE', topics, '-inf', string.format('%.0f', stamp - head_ms))
  redis.call('PEXPIRE', topics, head_ms)
end
if lifetime == '0' then
  redis.call('DEL', retained)
elseif lifetime == '-1' then
  redis.call('SET', retained, stamped)
elseif lifetime ~= '' then
  redis.call('SET', retained, stamped, 'PX', lifetime)
end
if once then
  redis.call('SET', once, batch or full, 'PX', once_ms)
end
if HISTORY_MINUTE then
  local field, minute = 'topic events ' .. word(topic), math.floor(redis.call('TIME')[1] / 60) -- the id may be ahead of the clock
  local counts = HISTORY_MINUTE .. minute
  if redis.pcall('HINCRBY', counts, field, 1) == 1 then count_new(counts, minute, field, 1) end
end
return full
