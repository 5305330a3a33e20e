-- include: notify.state.fence
-- Adds to an integer in a state hash, if its fences stand. A field that is not there counts as 0.
-- KEYS    1 ns:state:<service>  2... the hashes of the fences
-- ARGV    ... fences, see fence.lua; then 1 field  2 what to add, an integer of 64 bits
-- returns {1, the new value}; {0, the value that is there} if it is no integer, or the sum has more than 64 bits;
--         {-1, ""} if the first of the fences has fallen, {-2, ""} if the second, ...
--         Values are texts: a Lua number would round above 2^53.
local refused = fallen()
if refused then return {-refused, ''} end
local field, amount = unpack(ARGV, REST + 1)
local current = redis.call('HGET', KEYS[1], field)
local changed = redis.pcall('HINCRBY', KEYS[1], field, amount)
if type(changed) == 'table' and changed.err then
  if not current then return changed end
  return {0, current}
end
return {1, redis.call('HGET', KEYS[1], field)}
