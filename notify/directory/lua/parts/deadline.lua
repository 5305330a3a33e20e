-- The deadlines of a silent service.
--
-- suspect_after(ttl_ms) -> ms of silence after which a service is suspected; after ttl_ms it is withdrawn
-- since(sweep, name) -> when the sweep last gave a "grace_ms" to all services, or "held_ms" all withdrawals; 0 if it never did
local function suspect_after(ttl_ms)
  return math.ceil(ttl_ms * 2 / 3)
end

local function since(sweep, name)
  return tonumber(redis.call('HGET', sweep, name) or '0')
end
