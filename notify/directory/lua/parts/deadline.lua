-- include: notify.server.whole
-- include: notify.server.now
-- include: notify.server.lifetimes
-- The deadlines of a silent service.
--
-- suspect_after(ttl_ms) -> ms of silence after which a service is suspected; after ttl_ms it is withdrawn
-- hear(sweep, now) -> records that a service sent a heartbeat or registered: the next outage may give a grace again
-- since(sweep, name) -> "grace_ms": when a sweep last gave all services a grace; "held_ms": when it last held all withdrawals; or 0
local function suspect_after(ttl_ms)
  return math.ceil(ttl_ms * 2 / 3)
end

local function hear(sweep, now)
  if redis.call('HSET', sweep, 'heard_ms', text(now)) == 1 then -- else the key has a lifetime, which sweeps extend
    redis.call('PEXPIRE', sweep, MONTH_MS)
  end
end

local function since(sweep, name)
  return whole(redis.pcall('HGET', sweep, name), 0, 0, now_ms()) -- one in the future would keep the dead alive
end
