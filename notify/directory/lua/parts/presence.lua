-- Whether a service is there, by its deadline and the server's clock: no gate waits for a sweep to withdraw a service that is dead.
--
-- presence_of(services, service, name, now) -> "there"; "overdue": registered, but silent for its whole ttl; or "gone"; and its incarnation
--   services, service  the keys ns:services and ns:service:<name>
-- presence_of_any(services, prefix, provides, now) -> the same for a capability: "there" if one of its providers is there, "overdue" if
--     none is but one is overdue; and the name of an overdue provider
--   prefix, provides   the prefix ns:service: and the key ns:provides:<capability>
-- is_digits(value) -> whether a field is a whole number that the scripts wrote
local MOST_PROVIDERS = 100 -- providers looked at for one answer. More than these are overdue only after an outage of the server

-- A deadline that was spoilt by hand counts as passed until the next heartbeat writes it again.
local function is_digits(value)
  return value and #value < 16 and string.find(value, '^%d+$')
end

local function presence_of(services, service, name, now)
  local known = redis.pcall('HMGET', service, 'incarnation', 'beat_ms', 'ttl_ms') -- a key that is no hash has no fields
  if not known[1] then
    -- The description of a service that nobody withdrew has a lifetime of its own, and its name has none.
    return redis.call('SISMEMBER', services, name) == 1 and 'overdue' or 'gone', nil
  end
  local is_known = is_digits(known[2]) and is_digits(known[3])
  return is_known and known[2] + known[3] > now and 'there' or 'overdue', known[1]
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
