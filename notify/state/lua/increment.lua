-- include: notify.state.fence
-- Adds to an integer in a state hash, if the fences stand. A missing field counts as 0.
-- KEYS    state  ns:state:<service>
--         ...    the hash of each fence
-- ARGV    ...    for each fence its field, value and service, see parts/fence.lua
--         field
--         amount  what to add, an integer of 64 bits
-- returns {1, the new value}; {0, the value that is there} if it is no integer, or the sum has more than 64 bits;
--         {-1, ""} if the first fence has fallen, {-2, ""} if the second, ...
--         Values are texts: a Lua number would round above 2^53.
local state = KEYS[1]
local field, amount = unpack(ARGV, OWN)
local refused = fallen()
if refused then return {-refused, ''} end
local current = redis.call('HGET', state, field)
local changed = redis.pcall('HINCRBY', state, field, amount)
if type(changed) == 'table' and changed.err then
  if not current then return changed end
  return {0, current}
end
return {1, redis.call('HGET', state, field)}
