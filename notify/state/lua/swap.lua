-- include: notify.state.fence
-- Writes one field of a state hash if it was not changed in between, and the fences stand.
-- KEYS    state  ns:state:<service>
--         ...    the hash of each fence
-- ARGV    ...    for each fence its field, value and service, see parts/fence.lua
--         field
--         present  "1" if the field must be there, "0" if it must be missing
--         old      the value that the field must have
--         new      the new value
-- returns 1, 0 if the field was changed in between, -1 if the first fence has fallen, -2 if the second, ...
local state = KEYS[1]
local field, present, old, new = unpack(ARGV, OWN)
local refused = fallen()
if refused then return -refused end
local current = redis.call('HGET', state, field)
if present == '0' then
  if current then return 0 end
elseif current ~= old then
  return 0
end
redis.call('HSET', state, field, new)
return 1
