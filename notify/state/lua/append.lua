-- include: notify.state.fence
-- Appends to a list in a state hash, if its fences stand. A field that is not there counts as an empty list.
-- KEYS    1 ns:state:<service>  2... the hashes of the fences
-- ARGV    ... fences, see fence.lua; then 1 field  2 the value, as JSON
-- returns {1, ""}; {0, the value that is there} if it is no list; {-1, ""} if the first of the
--         fences has fallen, {-2, ""} if the second, ...
local refused = fallen()
if refused then return {-refused, ''} end
local field, value = unpack(ARGV, REST + 1)
local current = redis.call('HGET', KEYS[1], field) or '[]'
-- Put in as text: decoded and encoded again, [] would become {} and large integers would be rounded.
local inside = current:match('^%s*%[(.*)%]%s*$')
if not inside then return {0, current} end
local separator = inside:find('%S') and ',' or ''
redis.call('HSET', KEYS[1], field, '[' .. inside .. separator .. value .. ']')
return {1, ''}
