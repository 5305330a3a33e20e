-- include: notify.server.now
-- include: notify.server.lifetimes
-- include: notify.directory.presence
-- Sends a request to one incarnation of a service.
-- KEYS    service   ns:service:<name>
--         requests  ns:requests:<member>
-- ARGV    incarnation
--         request      as JSON
--         begin_ms     within how many ms the request must begin
--         max_waiting  how many requests may wait at most
-- returns the id of the entry; "gone" if this incarnation is not registered, or overdue; "full" if too many requests wait
local service, requests = unpack(KEYS)
local incarnation, request, begin_ms, max_waiting = unpack(ARGV)
local now = now_ms()
local registered, is_there = heard_of(service, now)
if registered ~= incarnation or not is_there then return 'gone' end
if redis.call('XLEN', requests) >= tonumber(max_waiting) then return 'full' end
local id = redis.call('XADD', requests, '*', 'request', request, 'deadline_ms', text(now + begin_ms))
-- A shorter request never shortens the life of a longer one.
local lifetime = begin_ms + MINUTE_MS
if redis.call('PTTL', requests) < lifetime then
  redis.call('PEXPIRE', requests, text(lifetime))
end
return id
