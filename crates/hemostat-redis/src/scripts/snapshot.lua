-- Tells states and deadlines, all of one moment.
--
-- ARGV: roles. Answers with the number of the last event, then for each role its states (container, state, and so on) and
-- the members of its timers.

local answer = { redis.call('GET', KEYS[1]) or '0' }
for _ = 1, #ARGV do
    local role = take(1)
    table.insert(answer, redis.call('HGETALL', prefix .. 'state:' .. role))
    table.insert(answer, redis.call('HKEYS', prefix .. 'timer:' .. role))
end
return answer
