-- include: notify.server.now
-- Takes a request, so that it may begin: once, in time, and only while the service is who was asked.
-- KEYS    1 ns:service:<name>  2 ns:requests:<member>
-- ARGV    1 incarnation  2 id of the entry  3 its deadline in ms
-- returns the ms left until its deadline; 0 if it must not begin: it was taken or given up, it is late, or the service is withdrawn
local waited = redis.call('XDEL', KEYS[2], ARGV[2])
if waited == 0 or redis.call('HGET', KEYS[1], 'incarnation') ~= ARGV[1] then return 0 end
return math.max(0, ARGV[3] - now_ms())
