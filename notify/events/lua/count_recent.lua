-- Counts the newest entries of a topic's log, up to a number and a size; the next call counts those before.
-- KEYS    log  ns:log:<topic>
-- ARGV    last       "+", or "(" and the id of the oldest entry that was counted
--         first      id of the oldest entry to count
--         count      how many at most
--         max_bytes  the count ends with the entries that reach this size
-- returns {how many, where the next call begins, or "" if there are no more}
local log = unpack(KEYS)
local last, first, count, max_bytes = unpack(ARGV)
local STEP = 10 -- entries that are read before their size is looked at
local counted, size = 0, 0
while counted < tonumber(count) and size < tonumber(max_bytes) do
  local some = redis.pcall('XREVRANGE', log, last, first, 'COUNT', STEP) -- a key that is no stream, written by hand, has no entries
  for _, entry in ipairs(some) do
    for _, part in ipairs(entry[2]) do
      size = size + #part
    end
  end
  counted = counted + #some
  if #some < STEP then return {counted, ''} end
  last = '(' .. some[#some][1]
end
return {counted, last}
