-- include: notify.server.now
-- include: notify.directory.presence
-- Takes a request, so that it may begin: once, in time, and only while the incarnation that it was sent to is registered.
-- KEYS    service   ns:service:<name>
--         requests  ns:requests:<member>, or that of the standby that the service was before
--         promoted  ns:promoted:<member>
-- ARGV    incarnation
--         entry        id of the entry
--         deadline_ms  the deadline of the request, on the server's clock
-- returns the ms left until the deadline; 0 if the request must not begin: it was taken or given up, is late, or the service is withdrawn;
--         -1 if the service is overdue: the request waits for its heartbeat; -2 if the service has another name now: the request waits
local service, requests, promoted = unpack(KEYS)
local incarnation, entry, deadline_ms = unpack(ARGV)
local now = now_ms()
local registered, is_there = heard_of(service, now)
if registered == incarnation and not is_there and deadline_ms - now > 0 then return -1 end
if registered ~= incarnation and redis.call('EXISTS', promoted) == 1 then return -2 end
local waited = redis.call('XDEL', requests, entry)
if waited == 0 or registered ~= incarnation then return 0 end
return math.max(0, deadline_ms - now)
