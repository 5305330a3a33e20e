-- include: notify.events.append
-- include: notify.directory.change
-- Lets one incarnation of a service join a group or leave it, and announces that.
-- KEYS    service  ns:service:<name>
--         group    ns:group:<group>
--         log, head, topics  ns:log:services, ns:topic:services, ns:topics
-- ARGV    name
--         incarnation
--         step     "join" or "leave"
--         groups   the groups of the service from now on, as JSON
--         channel, topic  of the directory
--         regrouped  body of the announcement
--         length, log_ms, head_ms  limits
-- returns 1, or 0 if nothing changed or this incarnation is not registered any more
local service, group, log, head, topics = unpack(KEYS)
local name, incarnation, step, groups, channel, topic, regrouped, length, log_ms, head_ms = unpack(ARGV)
local known = redis.call('HMGET', service, 'incarnation', 'provides')
if known[1] ~= incarnation then return 0 end
local changed
if step == 'join' then
  changed = redis.call('ZADD', group, incarnation, name)
else
  changed = redis.call('ZREM', group, name)
end
redis.call('HSET', service, 'groups', groups)
if changed == 1 then
  local body = announcement(regrouped, name, incarnation, known[2], groups)
  emit({log = log, head = head, topics = topics}, channel, topic, body, limits_from(length, log_ms, head_ms))
end
return changed
