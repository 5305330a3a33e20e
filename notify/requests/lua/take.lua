-- include: notify.server.now
-- Takes a request, so that it may begin: once, in time, and only while the incarnation that it was sent to is registered.
-- KEYS    service   ns:service:<name>
--         requests  ns:requests:<member>
-- ARGV    incarnation
--         entry        id of the entry
--         deadline_ms  the deadline of the request, on the server's clock
-- returns the ms left until the deadline; 0 if the request must not begin: it was taken or given up, is late, or the service is withdrawn
local service, requests = unpack(KEYS)
local incarnation, entry, deadline_ms = unpack(ARGV)
local waited = redis.call('XDEL', requests, entry)
if waited == 0 or redis.call('HGET', service, 'incarnation') ~= incarnation then return 0 end
return math.max(0, deadline_ms - now_ms())
