-- include: emit
-- include: now
-- The heartbeat of one incarnation of a service. It never brings back what was withdrawn.
-- KEYS    1 ns:due  2 ns:service:<name>  3 ns:tombstone:<name>  4 ns:log:services  5 ns:topic:services  6 ns:topics
-- ARGV    1 <name>#<incarnation>  2 incarnation  3 ttl_ms  4 ms after a beat until suspect
--         5 channel of services  6 its topic  7 body of the announcement that it is back  8-10 limits
-- returns "alive", or why it is not: "killed", "withdrawn", "expired" or "gone" (the directory does not know)
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  local stone = redis.call('HMGET', KEYS[3], 'incarnation', 'reason')
  return stone[1] == ARGV[2] and stone[2] or 'gone'
end
local now = now_ms()
local was = redis.call('HGET', KEYS[2], 'state')
if not was then
  -- The description is gone without a withdrawal (somebody deleted it): register anew.
  redis.call('ZREM', KEYS[1], ARGV[1])
  return 'gone'
end
redis.call('ZADD', KEYS[1], text(now + ARGV[4]), ARGV[1])
redis.call('HSET', KEYS[2], 'beat_ms', text(now), 'state', 'alive')
redis.call('PEXPIRE', KEYS[2], ARGV[3] + 3600000)
if was == 'suspect' then
  emit({log = KEYS[4], head = KEYS[5], topics = KEYS[6]}, ARGV[5], ARGV[6], ARGV[7], limits_from(ARGV, 8))
end
return 'alive'
