-- Reads one page of a topic's log after an id, and the head of the log at the same instant.
-- KEYS    log   ns:log:<topic>
--         head  ns:topic:<topic>
-- ARGV    after      bare id after which to read
--         count      how many entries at most; 0 reads the head only
--         max_bytes  the page ends with the entries that reach this size
-- returns {epoch or false, last or false, {{id, {field, value, ...}}, ...}, 1 if there may be more entries or else 0}
local log, head = unpack(KEYS)
local after, count, max_bytes = unpack(ARGV)
local STEP = 10 -- entries that are read before their size is looked at
local known = redis.call('HMGET', head, 'epoch', 'last')
local entries, size, wanted, more = {}, 0, tonumber(count), 1
while more == 1 and #entries < wanted and size < tonumber(max_bytes) do
  local asked = math.min(STEP, wanted - #entries)
  local some = redis.call('XRANGE', log, '(' .. after, '+', 'COUNT', asked)
  for _, entry in ipairs(some) do
    for _, part in ipairs(entry[2]) do
      size = size + #part
    end
    entries[#entries + 1] = entry
    after = entry[1]
  end
  more = #some == asked and 1 or 0
end
return {known[1], known[2], entries, more}
