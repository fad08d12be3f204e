-- Says that this pod is there, and counts those that are. The answer is also the proof that Redis answers.
-- KEYS[1]  a sorted set of pods by when they were last seen   ARGV[1] the pod, '' to be forgotten below   ARGV[2] ms after which
-- one is gone   ARGV[3] the pod that leaves, or ''
-- Answers how many they are, Redis' clock, and which of them this one is, from 0 on; -1: this user of Redis may not ask.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[1] ~= '' then redis.call('ZADD', KEYS[1], now, ARGV[1]) end
if ARGV[3] ~= '' then redis.call('ZREM', KEYS[1], ARGV[3]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2] * 4)
local rank = -1
local names = redis.pcall('ZRANGE', KEYS[1], 0, -1)
if not names.err then
  rank = 0
  for _, name in ipairs(names) do
    if name < ARGV[1] then rank = rank + 1 end
  end
end
return { redis.call('ZCARD', KEYS[1]), now, rank }
