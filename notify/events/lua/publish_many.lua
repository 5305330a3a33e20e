-- include: notify.events.append
-- include: notify.history.count
-- Publishes a batch of events of one publisher, once: a batch that is sent again, because the answer was lost, is recognized.
-- KEYS    sent    ns:sent:<publisher>
--         topics  ns:topics
--         ...     for each topic: ns:log:<topic>, ns:topic:<topic>, ns:retained:<topic>
-- ARGV    batch    number of the batch
--         sent_ms  for how long it is remembered
--         length, log_ms, head_ms  limits
--         count    number of topics
--         ...      for each topic: channel, topic; then for each event: number of its topic, body, lifetime as in retain()
-- returns {{number of the event in the batch, error}, ...} for the events that were refused; {} also if the batch was published before
local sent, topics = unpack(KEYS, 1, 2)
local batch, sent_ms, length, log_ms, head_ms, count = unpack(ARGV, 1, 6)
local FIRST_TOPIC_KEY, FIRST_TOPIC = 3, 7
if redis.call('GET', sent) == batch then return {} end
redis.call('SET', sent, batch, 'PX', sent_ms)
local limits, opened, refused = limits_from(length, log_ms, head_ms), {}, {}
local first_event = FIRST_TOPIC + 2 * count

local function open(number)
  local at = FIRST_TOPIC_KEY + 3 * (number - 1)
  local topic = {keys = {log = KEYS[at], head = KEYS[at + 1], topics = topics}, retained = KEYS[at + 2], moved = 0}
  topic.channel, topic.name = ARGV[FIRST_TOPIC + 2 * (number - 1)], ARGV[FIRST_TOPIC + 2 * (number - 1) + 1]
  topic.epoch, topic.last, topic.touched = open_head(topic.keys.head)
  opened[number] = topic
  return topic
end

local function publish(number, body, lifetime)
  local topic = opened[number] or open(number)
  local id, stamped, created = append(topic.keys.log, topic.channel, body, topic.epoch, topic.last, limits)
  topic.last, topic.touched, topic.moved = id, not created and topic.touched, topic.moved + 1
  retain(topic.retained, lifetime, stamped)
end

for i = first_event, #ARGV, 3 do
  local done, problem = pcall(publish, tonumber(ARGV[i]), ARGV[i + 1], ARGV[i + 2])
  if not done then
    refused[#refused + 1] = {(i - first_event) / 3, tostring(type(problem) == 'table' and problem.err or problem)}
  end
end
for _, topic in pairs(opened) do
  if topic.moved > 0 then
    close_head(topic.keys, topic.name, topic.epoch, topic.last, topic.touched, limits)
    count_up('topic events ' .. word(topic.name), topic.moved)
  end
end
return refused
