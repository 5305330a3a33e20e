-- include: notify.events.append
-- include: notify.directory.change
-- One incarnation of a service joins a group or leaves it, and that is announced.
-- KEYS    1 ns:service:<name>  2 ns:group:<group>  3 ns:log:services  4 ns:topic:services  5 ns:topics
-- ARGV    1 name  2 incarnation  3 "join" or "leave"  4 its groups from now on, as JSON
--         5 channel of services  6 its topic  7 body of the announcement  8-10 limits
-- returns 1, or 0 if nothing changed or this incarnation is not registered any more
local says = redis.call('HMGET', KEYS[1], 'incarnation', 'provides')
if says[1] ~= ARGV[2] then return 0 end
local changed
if ARGV[3] == 'join' then
  changed = redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
else
  changed = redis.call('ZREM', KEYS[2], ARGV[1])
end
redis.call('HSET', KEYS[1], 'groups', ARGV[4])
if changed == 1 then
  local body = announcement(ARGV[7], ARGV[1], ARGV[2], says[2], ARGV[4])
  emit({log = KEYS[3], head = KEYS[4], topics = KEYS[5]}, ARGV[5], ARGV[6], body, limits_from(ARGV, 8))
end
return changed
