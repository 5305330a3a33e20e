-- include: notify.events.append
-- include: notify.history.count
-- include: notify.server.now
-- include: notify.server.lifetimes
-- include: notify.directory.change
-- include: notify.directory.deadline
-- Suspects a service that missed its heartbeats, and gives it time until its deadline.
-- KEYS    due       ns:due
--         service   ns:service:<name>
--         suspects  ns:suspects
--         sweep     ns:sweep
--         log, head, topics  ns:log:services, ns:topic:services, ns:topics
-- ARGV    name
--         incarnation
--         channel, topic  of the directory
--         suspected   body of the announcement
--         length, log_ms, head_ms  limits
--         quiet_ttls  within so many ttls only one suspicion of a service is announced
-- returns 1, or 0 if a heartbeat, another sweeper or a grace came first
local due, service, suspects, sweep, log, head, topics = unpack(KEYS)
local name, incarnation, channel, topic, suspected, length, log_ms, head_ms, quiet_ttls = unpack(ARGV)
local member = name .. '#' .. incarnation
local now = now_ms()
local score = redis.call('ZSCORE', due, member)
local known = redis.pcall('HMGET', service, 'incarnation', 'state', 'beat_ms', 'ttl_ms', 'told_ms', 'provides', 'groups')
if not score or whole(score, 0) > now or known[1] ~= incarnation or known[2] ~= 'alive' then
  return 0
end
local ttl_ms, grace_ms = whole(known[4], 0, 0, DAY_MS), since(sweep, 'grace_ms')
if grace_ms + suspect_after(ttl_ms) > now then
  redis.call('ZADD', due, text(grace_ms + suspect_after(ttl_ms)), member)
  return 0
end
redis.call('HSET', service, 'state', 'suspect')
redis.call('SADD', suspects, member)
count_up('service suspected ' .. word(name), 1)
redis.call('ZADD', due, text(math.max(whole(known[3], 0, 0, now), grace_ms) + ttl_ms), member)
-- A service that is suspected again and again is not announced each time; then its recovery is not announced either.
if now - whole(known[5], 0, 0, now) < quiet_ttls * ttl_ms then
  redis.call('HSET', service, 'quiet', '1')
else
  redis.call('HSET', service, 'told_ms', text(now))
  local body = announcement(suspected, name, incarnation, known[6], known[7])
  emit({log = log, head = head, topics = topics}, channel, topic, body, limits_from(length, log_ms, head_ms))
end
return 1
