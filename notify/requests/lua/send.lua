-- include: notify.server.now
-- include: notify.server.lifetimes
-- Sends a request to one incarnation of a service.
-- KEYS    service   ns:service:<name>
--         requests  ns:requests:<member>
-- ARGV    incarnation
--         request      as JSON
--         begin_ms     within how many ms the request must begin
--         max_waiting  how many requests may wait at most
-- returns the id of the entry; "gone" if this incarnation is not registered; "full" if too many requests wait
local service, requests = unpack(KEYS)
local incarnation, request, begin_ms, max_waiting = unpack(ARGV)
if redis.call('HGET', service, 'incarnation') ~= incarnation then return 'gone' end
if redis.call('XLEN', requests) >= tonumber(max_waiting) then return 'full' end
local id = redis.call('XADD', requests, '*', 'request', request, 'deadline_ms', text(now_ms() + begin_ms))
-- A shorter request never shortens the life of a longer one.
local lifetime = begin_ms + MINUTE_MS
if redis.call('PTTL', requests) < lifetime then
  redis.call('PEXPIRE', requests, text(lifetime))
end
return id
