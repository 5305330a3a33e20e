-- Reads one page of a topic's log after an id, and the head of the log at the same instant.
-- KEYS    log   ns:log:<topic>
--         head  ns:topic:<topic>
-- ARGV    after  bare id after which to read
--         count  how many entries at most; 0 reads the head only
-- returns {epoch or false, last or false, {{id, {field, value, ...}}, ...}}
local log, head = unpack(KEYS)
local after, count = unpack(ARGV)
local known = redis.call('HMGET', head, 'epoch', 'last')
local entries = count == '0' and {} or redis.call('XRANGE', log, '(' .. after, '+', 'COUNT', count)
return {known[1], known[2], entries}
