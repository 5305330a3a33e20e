-- include: notify.events.append
-- include: notify.server.now
-- include: notify.server.lifetimes
-- include: notify.directory.change
-- include: notify.directory.deadline
-- Registers a service under a name that is free, with a new incarnation, and announces it. A service that repeats the call, because the
-- answer was lost, gets the incarnation of the first time.
-- KEYS    services     ns:services
--         due          ns:due
--         incarnations  ns:incarnation
--         service      ns:service:<name>
--         sweep        ns:sweep
--         log, head, topics  ns:log:services, ns:topic:services, ns:topics
--         ...          ns:provides:<capability> and ns:group:<group>, of all that it provides and is in
-- ARGV    name
--         ttl_ms
--         channel, topic  of the directory
--         available    body of the announcement
--         length, log_ms, head_ms  limits
--         after        the last incarnation of the service, or 0
--         token        a secret of the service, by which it is recognized, or ""
--         ...          field, value, ... of the description
-- returns the incarnation, or false if another service has the name
local services, due, incarnations, service, sweep, log, head, topics = unpack(KEYS, 1, 8)
local name, ttl_ms, channel, topic, available, length, log_ms, head_ms, after, token = unpack(ARGV, 1, 10)
local FIRST_INDEX_KEY, FIRST_FIELD = 9, 11
local now = now_ms()

local function expect_heartbeats(incarnation)
  redis.call('ZADD', due, text(now + suspect_after(ttl_ms)), name .. '#' .. incarnation)
  redis.call('HSET', service, 'beat_ms', text(now))
  redis.call('PEXPIRE', service, ttl_ms + HOUR_MS)
  hear(sweep, now)
  return incarnation
end

if redis.call('SISMEMBER', services, name) == 1 then
  local holder = redis.pcall('HMGET', service, 'token', 'incarnation')  -- not a hash if it was written by hand
  return token ~= '' and holder[1] == token and holder[2] and expect_heartbeats(holder[2])
end
-- Incarnations only grow, also when Redis lost its data: they follow the clock, and the last incarnation of this service.
local incarnation = text(math.max(now, whole(redis.pcall('GET', incarnations), 0) + 1, after + 1))
redis.call('SET', incarnations, incarnation, 'PX', MONTH_MS)
redis.call('SADD', services, name)
redis.call('DEL', service)
for i = FIRST_FIELD, #ARGV, 2 do
  redis.call('HSET', service, ARGV[i], ARGV[i + 1])
end
redis.call('HSET', service, 'name', name, 'incarnation', incarnation, 'ttl_ms', ttl_ms, 'state', 'alive')
redis.call('HSET', service, 'registered_ms', text(now), 'token', token)
for i = FIRST_INDEX_KEY, #KEYS do
  redis.call('ZADD', KEYS[i], incarnation, name)
end
local known = redis.call('HMGET', service, 'provides', 'groups')
local body = announcement(available, name, incarnation, known[1], known[2])
emit({log = log, head = head, topics = topics}, channel, topic, body, limits_from(length, log_ms, head_ms))
return expect_heartbeats(incarnation)
