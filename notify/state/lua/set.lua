-- include: notify.state.fence
-- Writes fields of a state hash, if the fences stand.
-- KEYS    state  ns:state:<service>
--         ...    the hash of each fence
-- ARGV    ...    for each fence its field, value and service, see parts/fence.lua
--         ...    field, value, ...
-- returns 1, or -1 if the first fence has fallen, -2 if the second, ...
local state = KEYS[1]
local refused = fallen()
if refused then return -refused end
for i = OWN, #ARGV, 2 do
  redis.call('HSET', state, ARGV[i], ARGV[i + 1])
end
return 1
