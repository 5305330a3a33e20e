-- include: notify.server.whole
-- include: notify.server.lifetimes
-- Whether a service is there, by its deadline and the server's clock: no gate waits for a sweep to withdraw a service that is dead.
--
-- is_heard(beat_ms, ttl_ms, now) -> whether a service with these fields is there
-- heard_of(service, now) -> the incarnation that is registered, and whether it is there; nil if nothing describes the service
-- presence_of(services, service, name, now) -> "there"; "overdue": registered, but silent for its whole ttl; or "gone"; and its incarnation
--   services, service  the keys ns:services and ns:service:<name>
-- presence_of_any(services, prefix, provides, now) -> the same for a capability: "there" if one of its providers is there, "overdue" if
--     none is but one is overdue; and the name of an overdue provider
--   prefix, provides   the prefix ns:service: and the key ns:provides:<capability>
local MOST_PROVIDERS = 100 -- providers looked at for one answer. More than these are overdue only after an outage of the server

-- A deadline that was spoilt by hand counts as passed until the next heartbeat writes it again. So does one that is more than two ttls
-- ahead, because the clock was set back: the dead would stay for as long.
local function is_heard(beat_ms, ttl_ms, now)
  local longest_ms = whole(ttl_ms, 0, 0, DAY_MS)
  local silent_ms = now - whole(beat_ms, 0)
  return silent_ms < longest_ms and silent_ms >= -longest_ms
end

local function heard_of(service, now)
  local known = redis.pcall('HMGET', service, 'incarnation', 'beat_ms', 'ttl_ms') -- a key that is no hash has no fields
  return known[1], is_heard(known[2], known[3], now)
end

local function presence_of(services, service, name, now)
  local incarnation, is_there = heard_of(service, now)
  if not incarnation then
    -- The description of a service that nobody withdrew has a lifetime of its own, and its name has none.
    return redis.call('SISMEMBER', services, name) == 1 and 'overdue' or 'gone', nil
  end
  return is_there and 'there' or 'overdue', incarnation
end

local function presence_of_any(services, prefix, provides, now)
  local overdue, first, last = nil, 0, 0
  while first < MOST_PROVIDERS do
    local names = redis.pcall('ZRANGE', provides, first, last)
    for _, name in ipairs(names) do
      local presence = presence_of(services, prefix .. name, name, now)
      if presence == 'there' then return 'there', nil end
      if presence == 'overdue' then overdue = overdue or name end
    end
    if #names <= last - first then break end
    first, last = last + 1, MOST_PROVIDERS - 1
  end
  return overdue and 'overdue' or 'gone', overdue
end
