-- include: notify.events.append
-- Publishes a batch of events of one publisher, once: a batch that is sent again, because the answer was lost, is known.
-- KEYS    1 ns:sent:<publisher>  2 ns:topics  3... per topic: ns:log:<topic>, ns:topic:<topic>, ns:retained:<topic>
-- ARGV    1 number of the batch  2 ms for which it is remembered  3-5 limits  6 number of topics
--         7... per topic: channel, topic; then per event: number of its topic, body, lifetime as in retain()
-- returns {{number of the event in the batch, error}, ...} for those that were refused; {} also if it was published before
if redis.call('GET', KEYS[1]) == ARGV[1] then return {} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local limits, count, heads, refused = limits_from(ARGV, 3), tonumber(ARGV[6]), {}, {}
local first = 7 + 2 * count

local function publish(at, i)
  local head = heads[at]
  if not head then
    local epoch, last, touched = open_head(KEYS[3 * at + 1])
    head = {epoch = epoch, last = last, touched = touched, moved = false}
    heads[at] = head
  end
  local id, stamped, made = append(KEYS[3 * at], ARGV[5 + 2 * at], ARGV[i + 1], head.epoch, head.last, limits)
  head.last, head.touched, head.moved = id, not made and head.touched, true
  retain(KEYS[3 * at + 2], ARGV[i + 2], stamped)
end

for i = first, #ARGV, 3 do
  local done, problem = pcall(publish, tonumber(ARGV[i]), i)
  if not done then
    refused[#refused + 1] = {(i - first) / 3, tostring(type(problem) == 'table' and problem.err or problem)}
  end
end
for at, head in pairs(heads) do
  if head.moved then
    local keys = {log = KEYS[3 * at], head = KEYS[3 * at + 1], topics = KEYS[2]}
    close_head(keys, ARGV[6 + 2 * at], head.epoch, head.last, head.touched, limits)
  end
end
return refused
