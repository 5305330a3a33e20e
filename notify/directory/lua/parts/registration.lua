-- include: notify.events.append
-- include: notify.history.count
-- include: notify.server.now
-- include: notify.server.whole
-- include: notify.server.lifetimes
-- include: notify.directory.change
-- include: notify.directory.deadline
-- Registers a service, in the scripts that find its name free.
--
-- expect_heartbeats(keys, name, incarnation, ttl_ms, heard): the last heartbeat came at the ms `heard`
-- register_service(keys, new, now) -> the new incarnation; it is greater than all others, and announced as available
--   keys  {services, due, incarnations, service = ns:service:<name>, indexes = {ns:provides:<capability> and ns:group:<group>, of all},
--         directory = {log, head, topics} of the topic services}
--   new   {name, ttl_ms, after = last incarnation of the service, or 0, token, fields = {field, value, ...}, channel, topic,
--         available = body of the announcement, limits}
local function expect_heartbeats(keys, name, incarnation, ttl_ms, heard)
  redis.call('ZADD', keys.due, text(heard + suspect_after(ttl_ms)), name .. '#' .. incarnation)
  redis.call('HSET', keys.service, 'beat_ms', text(heard))
  redis.call('PEXPIRE', keys.service, ttl_ms + HOUR_MS)
end

local function register_service(keys, new, now)
  -- Incarnations only grow, also when Redis lost its data: they follow the clock, and the last incarnation of this service.
  local incarnation = text(math.max(now, whole(redis.pcall('GET', keys.incarnations), 0) + 1, new.after + 1))
  redis.call('SET', keys.incarnations, incarnation, 'PX', MONTH_MS)
  redis.call('SADD', keys.services, new.name)
  redis.call('DEL', keys.service)
  for i = 1, #new.fields, 2 do
    redis.call('HSET', keys.service, new.fields[i], new.fields[i + 1])
  end
  redis.call('HSET', keys.service, 'name', new.name, 'incarnation', incarnation, 'ttl_ms', new.ttl_ms, 'state', 'alive')
  redis.call('HSET', keys.service, 'registered_ms', text(now), 'token', new.token)
  for _, index in ipairs(keys.indexes) do
    redis.call('ZADD', index, incarnation, new.name)
  end
  expect_heartbeats(keys, new.name, incarnation, new.ttl_ms, now)
  local known = redis.call('HMGET', keys.service, 'provides', 'groups')
  local body = announcement(new.available, new.name, incarnation, known[1], known[2])
  emit(keys.directory, new.channel, new.topic, body, new.limits)
  count_up('service registered ' .. word(new.name), 1)
  return incarnation
end
