-- include: fence
-- Appends to a list in a state hash, if the fence still stands. A field that is not there counts as an empty list.
-- KEYS    1 ns:state:<service>  2 ns:service:<name> of the fence
-- ARGV    1 fence  2 field  3 the value, as JSON
-- returns {1, ""}; {0, the value that is there} if it is no list; {-1, ""} if the fence has fallen
if not stands(KEYS[2], ARGV[1]) then return {-1, ''} end
local current = redis.call('HGET', KEYS[1], ARGV[2]) or '[]'
-- Put in as text: decoded and encoded again, [] would become {} and large integers would be rounded.
local inside = current:match('^%s*%[(.*)%]%s*$')
if not inside then return {0, current} end
local separator = inside:find('%S') and ',' or ''
redis.call('HSET', KEYS[1], ARGV[2], '[' .. inside .. separator .. ARGV[3] .. ']')
return {1, ''}
