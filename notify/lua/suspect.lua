-- include: emit
-- include: now
-- A service missed its heartbeats: it is suspected, and given until its deadline.
-- KEYS    1 ns:due  2 ns:service:<name>  3 ns:log:services  4 ns:topic:services  5 ns:topics
-- ARGV    1 <name>#<incarnation>  2 channel of services  3 its topic  4 body of the announcement  5-7 limits
-- returns 1, or 0 if a heartbeat or another sweeper came first
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
local service = redis.call('HMGET', KEYS[2], 'state', 'beat_ms', 'ttl_ms')
if not score or tonumber(score) > now_ms() or service[1] ~= 'alive' then
  return 0
end
redis.call('HSET', KEYS[2], 'state', 'suspect')
redis.call('ZADD', KEYS[1], text(service[2] + service[3]), ARGV[1])
emit({log = KEYS[3], head = KEYS[4], topics = KEYS[5]}, ARGV[2], ARGV[3], ARGV[4], limits_from(ARGV, 5))
return 1
