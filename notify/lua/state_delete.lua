-- include: fence
-- Removes fields of a state hash, or all of it, if the fence still stands.
-- KEYS    1 ns:state:<service>  2 ns:service:<name> of the fence
-- ARGV    1 fence  2... fields; none: the whole hash
-- returns the number of what was removed, or -1 if the fence has fallen
if not stands(KEYS[2], ARGV[1]) then return -1 end
if #ARGV == 1 then
  return redis.call('DEL', KEYS[1])
end
local removed = 0
for i = 2, #ARGV do
  removed = removed + redis.call('HDEL', KEYS[1], ARGV[i])
end
return removed
