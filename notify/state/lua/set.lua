-- include: notify.state.fence
-- Writes fields of a state hash, if its fences stand.
-- KEYS    1 ns:state:<service>  2... the hashes of the fences
-- ARGV    ... fences, see fence.lua; then field, value, ...
-- returns 1, or -1 if the first of the fences has fallen, -2 if the second, ...
local refused = fallen()
if refused then return -refused end
for i = REST + 1, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
return 1
