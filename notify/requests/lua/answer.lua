-- Puts an answer before a caller.
-- KEYS    1 ns:answers:<caller>
-- ARGV    1 answer (JSON)  2 ms for which it is kept  3 answers that may wait at the most
-- returns the id of its entry
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'answer', ARGV[1])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return id
