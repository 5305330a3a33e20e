-- include: notify.server.now
-- include: notify.directory.registration
-- include: notify.directory.withdrawal
-- Withdraws one incarnation of a service, and registers another service in the same step: under the same name, or under a name that
-- is free.
-- KEYS    services      ns:services
--         due           ns:due
--         losses        ns:losses
--         suspects      ns:suspects
--         incarnations  ns:incarnation
--         standbys      ns:standby:<name>
--         service       ns:service:<name>
--         sweep         ns:sweep
--         log, head, topics  ns:log:services, ns:topic:services, ns:topics
--         ...           of the incarnation that goes, see leaver_from(); then ns:provides:<capability> and ns:group:<group>, of all that
--                       the new service provides and is in
-- ARGV    name          of the new service
--         ttl_ms
--         after         the last incarnation of the new service, or 0
--         token         a secret of the new service
--         channel, topic  of the directory
--         available     body of the announcement there
--         length, log_ms, head_ms  limits
--         ...           of the incarnation that goes, see leaver_from(); then field, value, ... of the new description
-- returns the new incarnation; false if the old one does not hold its name any more, has changed, a standby waits for the name, or
--         another service has it
local services, due, losses, suspects, incarnations, standbys, service, sweep, log, head, topics = unpack(KEYS, 1, 11)
local name, ttl_ms, after, token, channel, topic, available, length, log_ms, head_ms = unpack(ARGV, 1, 10)
local FIRST_KEY, FIRST_ARGUMENT = 12, 11
local leaver, first_index, first_field = leaver_from(FIRST_KEY, FIRST_ARGUMENT)
local is_renamed = leaver.name ~= name
if not is_unchanged(leaver) then return false end
if is_renamed and redis.call('SISMEMBER', services, name) == 1 then return false end
if not is_renamed and redis.call('EXISTS', standbys) == 1 then return false end
local now = now_ms()
local keys = {services = services, due = due, losses = losses, suspects = suspects, incarnations = incarnations, service = service}
keys.directory, keys.indexes = {log = log, head = head, topics = topics}, {unpack(KEYS, first_index)}
local event = {channel = channel, topic = topic, limits = limits_from(length, log_ms, head_ms)}
local new = {name = name, ttl_ms = ttl_ms, after = after, token = token, fields = {unpack(ARGV, first_field)}}
new.channel, new.topic, new.available, new.limits = channel, topic, available, event.limits
hear(sweep, now)
if not is_renamed then
  withdraw_service(leaver, keys, event, now)
  return register_service(keys, new, now)
end
local incarnation = register_service(keys, new, now) -- first: a capability that both names have is never lost
withdraw_service(leaver, keys, event, now, name .. '#' .. incarnation)
return incarnation
