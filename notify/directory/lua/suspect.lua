-- include: notify.events.append
-- include: notify.server.now
-- include: notify.directory.change
-- include: notify.directory.deadline
-- A service missed its heartbeats: it is suspected, and given until its deadline.
-- KEYS    1 ns:due  2 ns:service:<name>  3 ns:suspects  4 ns:sweep  5 ns:log:services  6 ns:topic:services  7 ns:topics
-- ARGV    1 name  2 incarnation  3 channel of services  4 its topic  5 body of the announcement  6-8 limits
--         9 ttls for which only one suspicion of a service is announced
-- returns 1, or 0 if a heartbeat, another sweeper or a grace came first
local member = ARGV[1] .. '#' .. ARGV[2]
local now = now_ms()
local score = redis.call('ZSCORE', KEYS[1], member)
local says = redis.call('HMGET', KEYS[2], 'incarnation', 'state', 'beat_ms', 'ttl_ms', 'told_ms', 'provides', 'groups')
if not score or tonumber(score) > now or says[1] ~= ARGV[2] or says[2] ~= 'alive' then
  return 0
end
local ttl_ms, grace_ms = tonumber(says[4]) or 0, since(KEYS[4], 'grace_ms')
if grace_ms + suspect_after(ttl_ms) > now then
  redis.call('ZADD', KEYS[1], text(grace_ms + suspect_after(ttl_ms)), member)
  return 0
end
redis.call('HSET', KEYS[2], 'state', 'suspect')
redis.call('SADD', KEYS[3], member)
redis.call('ZADD', KEYS[1], text(math.max(tonumber(says[3]) or 0, grace_ms) + ttl_ms), member)
-- One that is suspected again and again is not told each time; then its recovery is not told either.
if says[5] and now - says[5] < ARGV[9] * ttl_ms then
  redis.call('HSET', KEYS[2], 'quiet', '1')
else
  redis.call('HSET', KEYS[2], 'told_ms', text(now))
  local body = announcement(ARGV[5], ARGV[1], ARGV[2], says[6], says[7])
  emit({log = KEYS[5], head = KEYS[6], topics = KEYS[7]}, ARGV[3], ARGV[4], body, limits_from(ARGV, 6))
end
return 1
