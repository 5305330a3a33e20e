-- include: notify.events.append
-- include: notify.server.now
-- include: notify.directory.change
-- include: notify.directory.deadline
-- Registers a service under a name that is free, with a new incarnation, and announces it. Who asks again, because the answer was
-- lost, gets the incarnation that it got then.
-- KEYS    1 ns:services  2 ns:due  3 ns:incarnation  4 ns:service:<name>
--         5 ns:log:services  6 ns:topic:services  7 ns:topics  8... ns:provides:<capability>, ns:group:<group>
-- ARGV    1 name  2 ttl_ms  3 channel of services  4 its topic  5 body of the announcement  6-8 limits
--         9 its last incarnation, or 0  10 token that it alone has, or ""  11... field, value, ... of the description
-- returns the incarnation, or false if the name is taken by another
local now = now_ms()
local function expect(incarnation)
  redis.call('ZADD', KEYS[2], text(now + suspect_after(ARGV[2])), ARGV[1] .. '#' .. incarnation)
  redis.call('HSET', KEYS[4], 'beat_ms', text(now))
  redis.call('PEXPIRE', KEYS[4], ARGV[2] + 3600000)
  return incarnation
end

if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1 then
  local holder = redis.pcall('HMGET', KEYS[4], 'token', 'incarnation')  -- it may be spoilt by hand
  return ARGV[10] ~= '' and holder[1] == ARGV[10] and holder[2] and expect(holder[2])
end
-- Incarnations only grow, also when Redis lost its data: they follow the clock, and the one that this service had before.
local incarnation = text(math.max(now, tonumber(redis.call('GET', KEYS[3]) or '0') + 1, ARGV[9] + 1))
local month_ms = 30 * 86400000
redis.call('SET', KEYS[3], incarnation, 'PX', month_ms)
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[4])
for i = 11, #ARGV, 2 do
  redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 1])
end
redis.call('HSET', KEYS[4], 'name', ARGV[1], 'incarnation', incarnation, 'ttl_ms', ARGV[2], 'state', 'alive')
redis.call('HSET', KEYS[4], 'registered_ms', text(now), 'token', ARGV[10])
for i = 8, #KEYS do
  redis.call('ZADD', KEYS[i], incarnation, ARGV[1])
end
local says = redis.call('HMGET', KEYS[4], 'provides', 'groups')
local body = announcement(ARGV[5], ARGV[1], incarnation, says[1], says[2])
emit({log = KEYS[5], head = KEYS[6], topics = KEYS[7]}, ARGV[3], ARGV[4], body, limits_from(ARGV, 6))
return expect(incarnation)
