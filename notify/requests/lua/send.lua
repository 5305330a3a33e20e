-- include: notify.server.now
-- Puts a request before one incarnation of a service.
-- KEYS    1 ns:service:<name>  2 ns:requests:<member>
-- ARGV    1 incarnation  2 request (JSON)  3 ms within which it must begin  4 requests that may wait at the most
-- returns the id of its entry; "gone" if this incarnation is not registered; "full" if too many wait
if redis.call('HGET', KEYS[1], 'incarnation') ~= ARGV[1] then return 'gone' end
if redis.call('XLEN', KEYS[2]) >= tonumber(ARGV[4]) then return 'full' end
local id = redis.call('XADD', KEYS[2], '*', 'request', ARGV[2], 'deadline_ms', text(now_ms() + ARGV[3]))
-- A shorter request never shortens the life of a longer one.
local lifetime = ARGV[3] + 60000
if redis.call('PTTL', KEYS[2]) < lifetime then
  redis.call('PEXPIRE', KEYS[2], text(lifetime))
end
return id
