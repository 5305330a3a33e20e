-- Takes jobs that are not queued any more out of the list of a queue, a part of the list at a time, from its end to its beginning.
-- KEYS    queue  rq:queue:<name>
-- ARGV    stay    how many ids at the end of the list were looked at before and stay
--         count   how many ids to look at
--         prefix  of the key of a job
-- returns {how many at the end stay by now, 1 if there are more before them or else 0}
local queue = KEYS[1]
local stay, count, prefix = unpack(ARGV)
stay, count = tonumber(stay), tonumber(count)
local ids = redis.call('LRANGE', queue, -stay - count, -stay - 1)
local gone = 0
for i, id in ipairs(ids) do
  local status = redis.pcall('HGET', prefix .. id, 'status')
  if status ~= 'queued' then
    redis.call('LSET', queue, -stay - #ids + i - 1, '')
    gone = gone + 1
  end
end
if gone > 0 then
  local is_near_end = 2 * stay < redis.call('LLEN', queue)
  redis.call('LREM', queue, is_near_end and -gone or gone, '') -- from the nearer end: no further than the part that was looked at
end
return {stay + #ids - gone, #ids == count and 1 or 0}
