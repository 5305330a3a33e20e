-- One page of a topic's log after an id, and where the log stands, at the same instant.
-- KEYS    1 ns:log:<topic>  2 ns:topic:<topic>
-- ARGV    1 id (bare) after which to read  2 entries at the most, 0 for only where it stands
-- returns {epoch or false, last or false, {{id, {field, value, ...}}, ...}}
local head = redis.call('HMGET', KEYS[2], 'epoch', 'last')
local entries = ARGV[2] == '0' and {} or redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])
return {head[1], head[2], entries}
