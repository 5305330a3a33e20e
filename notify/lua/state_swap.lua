-- include: fence
-- Writes one field of a state hash if nobody else changed it in between, and the fence still stands.
-- KEYS    1 ns:state:<service>  2 ns:service:<name> of the fence
-- ARGV    1 fence  2 field  3 "1" if it must be there, "0" if it must be missing  4 the value it must have  5 the new value
-- returns 1, 0 if it changed in between, -1 if the fence has fallen
if not stands(KEYS[2], ARGV[1]) then return -1 end
local current = redis.call('HGET', KEYS[1], ARGV[2])
if ARGV[3] == '0' then
  if current then return 0 end
elseif current ~= ARGV[4] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[5])
return 1
