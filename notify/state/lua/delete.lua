-- include: notify.state.fence
-- Removes fields of a state hash, or the whole hash, if the fences stand.
-- KEYS    state  ns:state:<service>
--         ...    the hash of each fence
-- ARGV    ...    for each fence its field, value and service, see parts/fence.lua
--         ...    the fields; none: the whole hash
-- returns how many were removed, or -1 if the first fence has fallen, -2 if the second, ...
local state = KEYS[1]
local refused = fallen()
if refused then return -refused end
if #ARGV < OWN then
  return redis.call('DEL', state)
end
local removed = 0
for i = OWN, #ARGV do
  removed = removed + redis.call('HDEL', state, ARGV[i])
end
return removed
