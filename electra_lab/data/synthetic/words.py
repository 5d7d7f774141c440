"""The made-up world's words: scenes with their places, things and what one does with them, and how things are counted.

Verbs and adjectives are given by the forms that the sentences need, so that no conjugation has to be computed.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from electra_lab.data.particles import copula_after, particle_after

T = TypeVar("T")


class Verb(NamedTuple):
    """먹었-, 먹어, 먹을, 먹는-: past stem, informal present, prospective, plain present without 다."""

    past: str
    now: str
    coming: str
    plain: str


class Scene(NamedTuple):
    """What belongs together: texts about one scene draw from it alone."""

    places: tuple[str, ...]
    people: tuple[str, ...]  # who works there
    things: dict[str, str]  # noun -> its counter
    verbs: tuple[Verb, ...]  # all take the things as their object
    adjectives: tuple[Verb, ...]  # 달았-, 달아, 달, 달-: the last one is the plain stem


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """One of the choices, each as likely."""
    return choices[int(rng.integers(len(choices)))]


def with_particle(word: str, particle: str) -> str:
    """The word and the particle in the form that fits it."""
    return word + particle_after(word, particle)


def with_copula(word: str, ending: str) -> str:
    """The word and the ending of 이다 in the form that fits it."""
    return word + copula_after(word, ending)


def counted(thing: str, number: int, counter: str) -> str:
    """사과 세 개."""
    return f"{thing} {NUMBERS[number]} {counter}"


def _verbs(table: str) -> tuple[Verb, ...]:
    return tuple(Verb(*(form.replace("_", " ") for form in entry.split("/"))) for entry in table.split())


def _scene(places: str, people: str, things: str, verbs: str, adjectives: str) -> Scene:
    pairs = (entry.split("/") for entry in things.split())
    return Scene(
        tuple(places.split()),
        tuple(people.split()),
        {noun: counter for noun, counter in pairs},
        _verbs(verbs),
        _verbs(adjectives),
    )


_NUMBERS = "영 한 두 세 네 다섯 여섯 일곱 여덟 아홉 열 열한 열두 열세 열네 열다섯 열여섯 열일곱 열여덟"
NUMBERS = tuple(_NUMBERS.split())
_NAMES = "민수 지영 서준 하은 도윤 수빈 예린 현우 은지 태민 나래 보람 영호 소라 준기 미정 재훈 다솜 한별 가람"
NAMES = tuple(_NAMES.split())
_WEEKDAYS = "월요일 화요일 수요일 목요일 금요일 토요일 일요일"
WEEKDAYS = tuple(_WEEKDAYS.split())
PAST_TIMES = ("어제", "지난주에", "그저께", "지난달에", "작년에", "아까")
PRESENT_TIMES = ("지금", "요즘", "날마다", "아침마다", "저녁마다", "주말마다")
COMING_TIMES = ("내일", "다음 주에", "모레", "다음 달에", "내년에", "이따가")
SEASONS = {  # months, what the weather is like, what one sees
    "봄": (("삼월", "사월", "오월"), "따뜻하", "꽃이 핀다"),
    "여름": (("유월", "칠월", "팔월"), "덥", "비가 많이 온다"),
    "가을": (("구월", "시월", "십일월"), "선선하", "잎이 붉게 물든다"),
    "겨울": (("십이월", "일월", "이월"), "춥", "눈이 내린다"),
}
CAUSES = {  # what happens -> what one does; past forms
    "비가 왔": "우산을 썼",
    "눈이 내렸": "장갑을 꼈",
    "배가 고팠": "밥을 먹었",
    "목이 말랐": "물을 마셨",
    "날씨가 추웠": "외투를 입었",
    "날씨가 더웠": "창문을 열었",
    "몸이 아팠": "병원에 갔",
    "잠이 왔": "일찍 잤",
    "시간이 없었": "택시를 탔",
    "길이 막혔": "지하철을 탔",
    "방이 어두웠": "불을 켰",
    "약속에 늦었": "뛰어갔",
    "옷이 더러웠": "빨래를 했",
    "방이 지저분했": "청소를 했",
    "시험이 어려웠": "다시 공부했",
    "기분이 좋았": "노래를 불렀",
}

SCENES = (
    _scene(
        "카페 찻집",
        "점원 손님",
        "커피/잔 홍차/잔 주스/잔 케이크/조각 빙수/그릇 레몬차/잔",
        "시켰/시켜/시킬/시킨 주문했/주문해/주문할/주문한 나눠_먹었/나눠_먹어/나눠_먹을/나눠_먹는",
        "달콤했/달콤해/달콤할/달콤하 시원했/시원해/시원할/시원하 향긋했/향긋해/향긋할/향긋하",
    ),
    _scene(
        "부엌 식당",
        "요리사 할머니",
        "국수/그릇 죽/그릇 만두/접시 달걀/알 두부/모 볶음밥/그릇",
        "만들었/만들어/만들/만든 먹었/먹어/먹을/먹는 데웠/데워/데울/데운 나눠_줬/나눠_줘/나눠_줄/나눠_준",
        "맛있었/맛있어/맛있을/맛있 뜨거웠/뜨거워/뜨거울/뜨겁 짰/짜/짤/짜",
    ),
    _scene(
        "시장 과일가게",
        "상인 농부",
        "사과/개 포도/송이 수박/통 생선/마리 배추/포기 귤/상자",
        "샀/사/살/산 골랐/골라/고를/고른 팔았/팔아/팔/판 씻었/씻어/씻을/씻는",
        "싱싱했/싱싱해/싱싱할/싱싱하 쌌/싸/쌀/싸 비쌌/비싸/비쌀/비싸",
    ),
    _scene(
        "도서관 서점",
        "사서 작가",
        "소설책/권 잡지/권 사전/권 지도/장 시집/권 동화책/권",
        "빌렸/빌려/빌릴/빌린 읽었/읽어/읽을/읽는 찾았/찾아/찾을/찾는 돌려줬/돌려줘/돌려줄/돌려준",
        "재미있었/재미있어/재미있을/재미있 두꺼웠/두꺼워/두꺼울/두껍 어려웠/어려워/어려울/어렵",
    ),
    _scene(
        "학교 교실",
        "선생님 학생",
        "공책/권 연필/자루 색종이/장 지우개/개 물감/통 크레파스/자루",
        "썼/써/쓸/쓴 챙겼/챙겨/챙길/챙긴 정리했/정리해/정리할/정리한 빌려줬/빌려줘/빌려줄/빌려준",
        "새로웠/새로워/새로울/새롭 부족했/부족해/부족할/부족하 깨끗했/깨끗해/깨끗할/깨끗하",
    ),
    _scene(
        "정원 꽃집",
        "정원사 이모",
        "장미/송이 튤립/송이 소나무/그루 화분/개 해바라기/송이 단풍나무/그루",
        "심었/심어/심을/심는 키웠/키워/키울/키운 가꿨/가꿔/가꿀/가꾼",
        "예뻤/예뻐/예쁠/예쁘 향기로웠/향기로워/향기로울/향기롭 컸/커/클/크",
    ),
    _scene(
        "동물원 목장",
        "사육사 수의사",
        "고양이/마리 강아지/마리 토끼/마리 오리/마리 나비/마리 염소/마리",
        "봤/봐/볼/본 돌봤/돌봐/돌볼/돌본 그렸/그려/그릴/그린 따라갔/따라가/따라갈/따라간",
        "귀여웠/귀여워/귀여울/귀엽 얌전했/얌전해/얌전할/얌전하 빨랐/빨라/빠를/빠르",
    ),
    _scene(
        "옷가게 백화점",
        "디자이너 직원",
        "치마/벌 양말/켤레 구두/켤레 장갑/켤레 외투/벌 운동화/켤레",
        "입어_봤/입어_봐/입어_볼/입어_본 바꿨/바꿔/바꿀/바꾼 선물했/선물해/선물할/선물한",
        "편했/편해/편할/편하 멋있었/멋있어/멋있을/멋있 작았/작아/작을/작",
    ),
    _scene(
        "영화관 극장",
        "배우 감독",
        "영화/편 연극/편 만화/편 드라마/편 공연/편",
        "구경했/구경해/구경할/구경한 추천했/추천해/추천할/추천한 예매했/예매해/예매할/예매한",
        "지루했/지루해/지루할/지루하 감동적이었/감동적이야/감동적일/감동적이 무서웠/무서워/무서울/무섭",
    ),
    _scene(
        "우체국 회사",
        "집배원 사장님",
        "편지/통 우표/장 엽서/장 소포/상자 서류/장 봉투/장",
        "보냈/보내/보낼/보낸 받았/받아/받을/받는 붙였/붙여/붙일/붙인 모았/모아/모을/모은",
        "급했/급해/급할/급하 무거웠/무거워/무거울/무겁 반가웠/반가워/반가울/반갑",
    ),
    _scene(
        "빵집 편의점",
        "제빵사 주인아저씨",
        "식빵/봉지 사탕/개 우유/병 도넛/개 과자/봉지 얼음/봉지",
        "구웠/구워/구울/굽는 꺼냈/꺼내/꺼낼/꺼낸 남겼/남겨/남길/남긴 맛봤/맛봐/맛볼/맛본",
        "고소했/고소해/고소할/고소하 부드러웠/부드러워/부드러울/부드럽 차가웠/차가워/차가울/차갑",
    ),
    _scene(
        "바닷가 항구",
        "어부 선장",
        "조개/개 물고기/마리 돛단배/척 갈매기/마리 모래성/개 낚싯대/대",
        "발견했/발견해/발견할/발견한 살펴봤/살펴봐/살펴볼/살펴본 만졌/만져/만질/만진",
        "아름다웠/아름다워/아름다울/아름답 신기했/신기해/신기할/신기하 조용했/조용해/조용할/조용하",
    ),
)
