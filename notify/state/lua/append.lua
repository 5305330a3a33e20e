-- include: notify.state.fence
-- Appends to a list in a state hash, if the fences stand. A missing field counts as an empty list.
-- KEYS    state  ns:state:<service>
--         ...    the hash of each fence
-- ARGV    ...    for each fence its field, value and service, see parts/fence.lua
--         field
--         value  as JSON
-- returns {1, ""}; {0, the value that is there} if it is no list; {-1, ""} if the first fence has fallen, {-2, ""} if the second, ...
local state = KEYS[1]
local field, value = unpack(ARGV, OWN)
local refused = fallen()
if refused then return {-refused, ''} end
local current = redis.call('HGET', state, field) or '[]'
-- The value is inserted as text: decoded and encoded again, [] would become {} and large integers would be rounded.
local inside = current:match('^%s*%[(.*)%]%s*$')
if not inside then return {0, current} end
local separator = inside:find('%S') and ',' or ''
redis.call('HSET', state, field, '[' .. inside .. separator .. value .. ']')
return {1, ''}
