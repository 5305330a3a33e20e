-- include: notify.events.append
-- include: notify.history.count
-- include: notify.server.now
-- include: notify.server.whole
-- include: notify.server.lifetimes
-- include: notify.directory.change
-- Takes an incarnation out of the directory, in the scripts that find that it has to go.
--
-- leaver_from(key, argument) -> the leaver whose KEYS and ARGV begin at these places, the places behind them
--   KEYS  ns:service:<name>, ns:tombstone:<name>, ns:standby:<name that it waits for, or its own>, ns:log:<status>, ns:topic:<status>,
--         then by turns ns:provides:<capability> and ns:tombstone:any <capability>, then ns:group:<group> for each group
--   ARGV  name; incarnation; its groups as they were read, as JSON; reason and why, as its tombstone names them; body of the
--         announcement; channel and topic of its status; body of the last event there; number of capabilities; number of groups;
--         "any <capability>" for each
-- is_unchanged(leaver) -> whether this incarnation still has its name, and the groups that were read
-- withdraw_service(leaver, keys, event, now, became) -> the id of the event on its status
--   keys    {services, due, losses, suspects, directory = {log, head, topics} of the topic services}
--   event   {channel, topic, limits} of the topic services
--   became  "<name>#<incarnation>" if the service goes on as that, or nil
local function leaver_from(key, argument)
  local leaver = {capabilities = {}, groups = {}}
  leaver.service, leaver.tombstone, leaver.standbys, leaver.log, leaver.head = unpack(KEYS, key, key + 4)
  leaver.name, leaver.incarnation, leaver.groups_json, leaver.reason, leaver.why = unpack(ARGV, argument, argument + 4)
  leaver.withdrawn, leaver.channel, leaver.topic, leaver.ended = unpack(ARGV, argument + 5, argument + 8)
  local capabilities, groups = unpack(ARGV, argument + 9, argument + 10)
  key, argument = key + 5, argument + 11
  for _ = 1, capabilities do
    leaver.capabilities[#leaver.capabilities + 1] = {index = KEYS[key], tombstone = KEYS[key + 1], need = ARGV[argument]}
    key, argument = key + 2, argument + 1
  end
  for _ = 1, groups do
    leaver.groups[#leaver.groups + 1] = KEYS[key]
    key = key + 1
  end
  leaver.member = leaver.name .. '#' .. leaver.incarnation
  return leaver, key, argument
end

local function is_unchanged(leaver)
  local known = redis.pcall('HMGET', leaver.service, 'incarnation', 'groups') -- a key that is no hash has no fields
  return known[1] == leaver.incarnation and (known[2] or '') == leaver.groups_json
end

local function withdraw_service(leaver, keys, event, now, became)
  local name, incarnation = leaver.name, leaver.incarnation
  local known = redis.pcall('HMGET', leaver.service, 'incarnation', 'provides', 'groups')
  local described = known[1] == incarnation
  redis.call('ZREM', keys.due, leaver.member)
  redis.call('SREM', keys.suspects, leaver.member)
  redis.call('ZREM', leaver.standbys, leaver.member)
  if described or not whole(known[1]) then -- else a successor has the name
    redis.call('SREM', keys.services, name)
    redis.call('DEL', leaver.service)
  end
  for _, group in ipairs(leaver.groups) do
    redis.call('ZREM', group, name)
  end

  local tombstones = {} -- of the service, and of the capabilities that no service provides any more
  -- Jobs remember the serial of a need at the time when they were enqueued: a higher serial keeps them from starting.
  local function lose(need, key)
    redis.call('HSET', key, 'service', name, 'incarnation', incarnation, 'reason', leaver.reason, 'why', leaver.why, 'at_ms', text(now))
    redis.call('PEXPIRE', key, DAY_MS)
    local serial = math.max(now, whole(redis.call('HGET', keys.losses, need), 0, 0, now + DAY_MS) + 1)
    redis.call('HSET', keys.losses, need, text(serial))
    tombstones[#tombstones + 1] = key
  end

  lose(name, leaver.tombstone)
  for _, capability in ipairs(leaver.capabilities) do
    if redis.call('ZREM', capability.index, name) == 1 and redis.call('EXISTS', capability.index) == 0 then
      lose(capability.need, capability.tombstone)
    end
  end
  redis.call('PEXPIRE', keys.losses, MONTH_MS)
  local body = announcement(leaver.withdrawn, name, incarnation, described and known[2], described and known[3], became)
  emit(keys.directory, event.channel, event.topic, body, event.limits)
  local status = {log = leaver.log, head = leaver.head, topics = keys.directory.topics}
  count_up('service withdrawn ' .. word(name) .. ' ' .. word(leaver.reason), 1)
  local id = emit(status, leaver.channel, leaver.topic, leaver.ended, event.limits)
  for _, key in ipairs(tombstones) do
    redis.call('HSET', key, 'event', id)
  end
  return id
end
