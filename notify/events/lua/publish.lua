-- Publishes one event; with an idempotency key at most once.
-- KEYS    1 ns:log:<topic>  2 ns:topic:<topic>  3 ns:topics  4 ns:retained:<topic>  5 ns:once:<topic>:<key>, if there is a key
-- ARGV    1 channel  2 topic  3 body  4 lifetime as retained value: "" leave it, "0" drop it, "-1" for ever, else ms
--         5-7 limits: length, log_ms, head_ms  8 ms for which the key is remembered
-- returns the id of the event; of the first one, if the key was used before
--
-- The steps of emit.lua, written out: the functions and tables there cost a subscriber some microseconds on a
-- server that was idle just before, and this is the script that everybody waits for.
if KEYS[5] then
  local first = redis.call('GET', KEYS[5])
  if first then return first end
end
local known = redis.call('HMGET', KEYS[2], 'epoch', 'last', 'touched')
local epoch, prev, touched = known[1], known[2], known[3]
if not epoch then
  local t = redis.call('TIME')
  epoch, prev = string.format('%x%05x', t[1], t[2]), '0-0'
end
local id = redis.call('XADD', KEYS[1], 'NOMKSTREAM', 'MAXLEN', '~', ARGV[5], '*', 'prev', prev, 'epoch', epoch, 'data', ARGV[3])
if not id then
  id, touched = redis.call('XADD', KEYS[1], '*', 'prev', prev, 'epoch', epoch, 'data', ARGV[3]), nil
end
local full = id .. '@' .. epoch
local stamped = '{"id":"' .. full .. '","prev":"' .. prev .. '",' .. string.sub(ARGV[3], 2)
local told = redis.pcall('PUBLISH', ARGV[1], stamped)
if type(told) == 'table' then
  redis.call('XDEL', KEYS[1], id)
  return told
end
local stamp = string.match(id, '^%d+')
if touched and stamp - touched < math.min(60000, ARGV[6] / 10) then
  redis.call('HSET', KEYS[2], 'last', id)
else
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'last', id, 'touched', stamp)
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
  redis.call('PEXPIRE', KEYS[2], ARGV[7])
  redis.call('ZADD', KEYS[3], stamp, ARGV[2])
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', stamp - ARGV[7]))
  redis.call('PEXPIRE', KEYS[3], ARGV[7])
end
if ARGV[4] == '0' then
  redis.call('DEL', KEYS[4])
elseif ARGV[4] == '-1' then
  redis.call('SET', KEYS[4], stamped)
elseif ARGV[4] ~= '' then
  redis.call('SET', KEYS[4], stamped, 'PX', ARGV[4])
end
if KEYS[5] then
  redis.call('SET', KEYS[5], full, 'PX', ARGV[8])
end
return full
