-- include: notify.state.fence
-- Writes one field of a state hash if nobody else changed it in between, and its fences stand.
-- KEYS    1 ns:state:<service>  2... the hashes of the fences
-- ARGV    ... fences, see fence.lua; then 1 field  2 "1" if it must be there, "0" if it must be missing  3 the value it must have
--         4 the new value
-- returns 1, 0 if it changed in between, -1 if the first of the fences has fallen, -2 if the second, ...
local refused = fallen()
if refused then return -refused end
local field, present, old, new = unpack(ARGV, REST + 1)
local current = redis.call('HGET', KEYS[1], field)
if present == '0' then
  if current then return 0 end
elseif current ~= old then
  return 0
end
redis.call('HSET', KEYS[1], field, new)
return 1
