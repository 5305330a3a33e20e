-- include: notify.state.fence
-- Removes fields of a state hash, or all of it, if its fences stand.
-- KEYS    1 ns:state:<service>  2... the hashes of the fences
-- ARGV    ... fences, see fence.lua; then the fields; none: the whole hash
-- returns the number of what was removed, or -1 if the first of the fences has fallen, -2 if the second, ...
local refused = fallen()
if refused then return -refused end
if #ARGV == REST then
  return redis.call('DEL', KEYS[1])
end
local removed = 0
for i = REST + 1, #ARGV do
  removed = removed + redis.call('HDEL', KEYS[1], ARGV[i])
end
return removed
