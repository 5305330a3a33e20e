-- include: fence
-- Writes fields of a state hash, if the fence still stands.
-- KEYS    1 ns:state:<service>  2 ns:service:<name> of the fence
-- ARGV    1 fence  2... field, value, ...
-- returns 1, or -1 if the fence has fallen
if not stands(KEYS[2], ARGV[1]) then return -1 end
for i = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
return 1
