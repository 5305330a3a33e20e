-- include: emit
-- include: now
-- The heartbeat of one incarnation of a service. It never brings back what was withdrawn.
-- KEYS    1 ns:due  2 ns:service:<name>  3 ns:tombstone:<name>  4 ns:log:services  5 ns:topic:services  6 ns:topics  7 ns:services
-- ARGV    1 name  2 incarnation  3 ttl_ms  4 ms after a beat until suspect
--         5 channel of services  6 its topic  7 body of the announcement that it is back  8-10 limits
-- returns "alive", or why it is not: "killed", "withdrawn", "expired" or "gone" (the directory does not know)
local member = ARGV[1] .. '#' .. ARGV[2]
local was = redis.call('HMGET', KEYS[2], 'incarnation', 'state')
if was[1] ~= ARGV[2] or not redis.call('ZSCORE', KEYS[1], member) then
  local stone = redis.call('HMGET', KEYS[3], 'incarnation', 'reason')
  if stone[1] == ARGV[2] then return stone[2] end
  -- Nobody withdrew it, somebody deleted a part of it: what is left goes too, so that it can have its name again.
  redis.call('ZREM', KEYS[1], member)
  if not was[1] or was[1] == ARGV[2] then
    redis.call('DEL', KEYS[2])
    redis.call('SREM', KEYS[7], ARGV[1])
  end
  return 'gone'
end
local now = now_ms()
redis.call('ZADD', KEYS[1], text(now + ARGV[4]), member)
redis.call('HSET', KEYS[2], 'beat_ms', text(now), 'state', 'alive')
redis.call('PEXPIRE', KEYS[2], ARGV[3] + 3600000)
if was[2] == 'suspect' then
  emit({log = KEYS[4], head = KEYS[5], topics = KEYS[6]}, ARGV[5], ARGV[6], ARGV[7], limits_from(ARGV, 8))
end
return 'alive'
