-- include: notify.server.now
-- include: notify.directory.registration
-- Registers a service under a name that is free, with a new incarnation, and announces it. A service that repeats the call, because the
-- answer was lost, gets the incarnation of the first time.
-- KEYS    services     ns:services
--         due          ns:due
--         incarnations  ns:incarnation
--         service      ns:service:<name>
--         sweep        ns:sweep
--         standbys     ns:standby:<name that it waits for>, else of its own name
--         log, head, topics  ns:log:services, ns:topic:services, ns:topics
--         ...          ns:provides:<capability> and ns:group:<group>, of all that it provides and is in
-- ARGV    name
--         ttl_ms
--         channel, topic  of the directory
--         available    body of the announcement
--         length, log_ms, head_ms  limits
--         after        the last incarnation of the service, or 0
--         token        a secret of the service, by which it is recognized, or ""
--         waits_for    the name that the service waits for as a standby, or ""
--         ...          field, value, ... of the description
-- returns the incarnation, or false if another service has the name, or none has the name that it would wait for
local services, due, incarnations, service, sweep, standbys, log, head, topics = unpack(KEYS, 1, 9)
local name, ttl_ms, channel, topic, available, length, log_ms, head_ms, after, token, waits_for = unpack(ARGV, 1, 11)
local FIRST_INDEX_KEY, FIRST_FIELD = 10, 12
local now = now_ms()
local keys = {services = services, due = due, incarnations = incarnations, service = service}
if redis.call('SISMEMBER', services, name) == 1 then
  local holder = redis.pcall('HMGET', service, 'token', 'incarnation') -- not a hash if it was written by hand
  if token == '' or holder[1] ~= token or not holder[2] then return false end
  expect_heartbeats(keys, name, holder[2], ttl_ms, now)
  hear(sweep, now)
  return holder[2]
end
if waits_for ~= '' and redis.call('SISMEMBER', services, waits_for) == 0 then return false end
keys.directory, keys.indexes = {log = log, head = head, topics = topics}, {unpack(KEYS, FIRST_INDEX_KEY)}
local new = {name = name, ttl_ms = ttl_ms, after = after, token = token, fields = {unpack(ARGV, FIRST_FIELD)}}
new.channel, new.topic, new.available, new.limits = channel, topic, available, limits_from(length, log_ms, head_ms)
local incarnation = register_service(keys, new, now)
hear(sweep, now)
if waits_for ~= '' then
  redis.call('ZADD', standbys, incarnation, name .. '#' .. incarnation)
end
return incarnation
