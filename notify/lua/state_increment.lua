-- include: fence
-- Adds to an integer in a state hash, if the fence still stands. A field that is not there counts as 0.
-- KEYS    1 ns:state:<service>  2 ns:service:<name> of the fence
-- ARGV    1 fence  2 field  3 what to add, an integer of 64 bits
-- returns {1, the new value}; {0, the value that is there} if it is no integer, or the sum has more than 64 bits;
--         {-1, ""} if the fence has fallen. Values are texts: a Lua number would round above 2^53.
if not stands(KEYS[2], ARGV[1]) then return {-1, ''} end
local current = redis.call('HGET', KEYS[1], ARGV[2])
local changed = redis.pcall('HINCRBY', KEYS[1], ARGV[2], ARGV[3])
if type(changed) == 'table' and changed.err then
  if not current then return changed end
  return {0, current}
end
return {1, redis.call('HGET', KEYS[1], ARGV[2])}
