-- include: notify.server.whole
-- include: notify.directory.registration
-- include: notify.directory.withdrawal
-- Gives a standby the name that it waits for. It is registered under that name before its own name is withdrawn: so no capability that
-- it provides is lost, and its process can tell from ns:promoted:<member> what became of it.
--
-- promote(standby, waiting, bare, keys, event, available, now)
--   standby    the leaver that is the standby
--   waiting    {requests = ns:requests:<member>, promoted = ns:promoted:<member>} of the standby
--   bare       {name, service = ns:service:<name>}; nobody has the name
--   keys       those of register_service and withdraw_service
--   event      {channel, topic, limits} of the topic services
--   available  body of the announcement there
local PASSING = {standby = true, quiet = true, told_ms = true} -- fields of a description that do not go on

local function promote(standby, waiting, bare, keys, event, available, now)
  local flat, known, fields = redis.call('HGETALL', standby.service), {}, {}
  for i = 1, #flat, 2 do
    known[flat[i]] = flat[i + 1]
    if not PASSING[flat[i]] then
      fields[#fields + 1] = flat[i]
      fields[#fields + 1] = flat[i + 1]
    end
  end
  keys.service, keys.indexes = bare.service, {unpack(standby.groups)}
  for _, capability in ipairs(standby.capabilities) do
    keys.indexes[#keys.indexes + 1] = capability.index
  end
  local ttl_ms = text(whole(known.ttl_ms, 1, 1, DAY_MS))
  local incarnation = register_service(keys, {
    name = bare.name, ttl_ms = ttl_ms, after = standby.incarnation, token = known.token or '', fields = fields,
    channel = event.channel, topic = event.topic, available = available, limits = event.limits,
  }, now)
  -- A promotion is no sign of life: the deadline is still that of the last heartbeat.
  expect_heartbeats(keys, bare.name, incarnation, ttl_ms, whole(known.beat_ms, now, 0, now))
  local became = bare.name .. '#' .. incarnation
  withdraw_service(standby, keys, event, now, became)
  redis.call('SET', waiting.promoted, became, 'PX', HOUR_MS)
  redis.call('XADD', waiting.requests, '*', 'promoted', became) -- wakes the threads of the standby that wait for requests
  if redis.call('PTTL', waiting.requests) < MINUTE_MS then
    redis.call('PEXPIRE', waiting.requests, MINUTE_MS)
  end
end
