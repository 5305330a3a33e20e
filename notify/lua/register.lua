-- include: emit
-- include: now
-- Registers a service under a name that is free, with a new incarnation, and announces it.
-- KEYS    1 ns:services  2 ns:due  3 ns:incarnation  4 ns:service:<name>
--         5 ns:log:services  6 ns:topic:services  7 ns:topics  8... ns:provides:<capability>
-- ARGV    1 name  2 ttl_ms  3 ms after a beat until suspect  4 channel of services  5 its topic
--         6 body of the announcement, with "@incarnation@" where the incarnation goes  7-9 limits  10 its last incarnation, or 0
--         11... field, value, ... of the description
-- returns the incarnation, or false if the name is taken
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1 then
  return false
end
local now = now_ms()
-- Incarnations only grow, also when Redis lost its data: they follow the clock, and the one that this service had before.
local incarnation = math.max(now, tonumber(redis.call('GET', KEYS[3]) or '0') + 1, ARGV[10] + 1)
local month_ms = 30 * 86400000
redis.call('SET', KEYS[3], text(incarnation), 'PX', month_ms)
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[2], text(now + ARGV[3]), ARGV[1] .. '#' .. text(incarnation))
redis.call('DEL', KEYS[4])
for i = 11, #ARGV, 2 do
  redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 1])
end
redis.call('HSET', KEYS[4], 'incarnation', text(incarnation), 'registered_ms', text(now), 'beat_ms', text(now), 'state', 'alive')
redis.call('PEXPIRE', KEYS[4], ARGV[2] + 3600000)
for i = 8, #KEYS do
  redis.call('ZADD', KEYS[i], text(incarnation), ARGV[1])
end
local body = string.gsub(ARGV[6], '"incarnation":"@incarnation@"', '"incarnation":' .. text(incarnation))
emit({log = KEYS[5], head = KEYS[6], topics = KEYS[7]}, ARGV[4], ARGV[5], body, limits_from(ARGV, 7))
return text(incarnation)
